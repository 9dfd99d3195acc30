// The other end of the interop tests in C: libwebsockets in both roles. The protocol on
// standard input and output is told in foreign_test.go.
#include <errno.h>
#include <libwebsockets.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// What is to be done on a connection once it can be written to.
struct task {
	struct task *next;
	char op; // w(rite), p(ing), c(lose)
	int binary, code;
	size_t fragment, at, size;
	unsigned char payload[];
};

struct connection {
	struct connection *next;
	struct lws *wsi;
	char id[32], listener[32], protocol[128];
	int open, told; // that it has ended
	struct task *tasks;
	unsigned char *message;
	size_t received, room;
};

struct command {
	char *op, *id, *url, *protocols, *secure, *fragment, *binary, *code;
	unsigned char *payload;
	size_t size;
};

static struct lws_context *context;
static struct connection *connections;
static int accepted;

static void *need(void *memory) {
	if (!memory) abort();
	return memory;
}

static void tell(const char *op, const char *id, const void *payload, size_t size, const char *format, ...) {
	va_list fields;
	printf("op=%s\tid=%s\tsize=%zu", op, id, size);
	va_start(fields, format);
	vprintf(format, fields);
	va_end(fields);
	putchar('\n');
	fwrite(payload, 1, size, stdout);
	fflush(stdout);
}

static void failed(const char *id, const char *why) { tell("failed", id, why, strlen(why), ""); }

static struct connection *find(const char *id) {
	for (struct connection *c = connections; c; c = c->next)
		if (!strcmp(c->id, id)) return c;
	return NULL;
}

static struct connection *new_connection(const char *id) {
	struct connection *c = need(calloc(1, sizeof *c));
	snprintf(c->id, sizeof c->id, "%s", id);
	c->next = connections;
	return connections = c;
}

static void forget(struct connection *c) {
	struct connection **at = &connections;
	while (*at != c) at = &(*at)->next;
	*at = c->next;
	for (struct task *t = c->tasks, *next; t; t = next) {
		next = t->next;
		free(t);
	}
	free(c->message);
	free(c);
}

static void told_end(struct connection *c, const char *op, const void *payload, size_t size, int code) {
	if (c->told) return;
	c->told = 1;
	tell(op, c->id, payload, size, "\tcode=%d", code);
}

static void receive(struct connection *c, struct lws *wsi, const void *data, size_t size) {
	if (c->received + size > c->room)
		c->message = need(realloc(c->message, c->room = 2 * (c->received + size)));
	if (size) memcpy(c->message + c->received, data, size);
	c->received += size;
	if (lws_remaining_packet_payload(wsi) || !lws_is_final_fragment(wsi)) return;
	tell(lws_frame_is_binary(wsi) ? "binary" : "text", c->id, c->message, c->received, "");
	c->received = 0;
}

// act does a piece of the first task. It gives -1 to close the connection.
static int act(struct connection *c) {
	struct task *t = c->tasks;
	if (!t) return 0;
	int flags = LWS_WRITE_PING;
	size_t size = t->size - t->at;
	if (t->op == 'c') {
		// Without this it sends no close frame.
		lws_close_reason(c->wsi, t->code, t->payload, t->size);
		return -1;
	}
	if (t->op == 'w') {
		if (t->fragment && size > t->fragment) size = t->fragment;
		flags = lws_write_ws_flags(t->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT, !t->at, t->at + size == t->size);
	}
	unsigned char *buffer = need(malloc(LWS_PRE + size));
	memcpy(buffer + LWS_PRE, t->payload + t->at, size);
	int written = lws_write(c->wsi, buffer + LWS_PRE, size, flags);
	free(buffer);
	if (written < (int)size) return -1;
	t->at += size;
	if (t->at == t->size) {
		if (t->op == 'w') tell("written", c->id, "", 0, "");
		c->tasks = t->next;
		free(t);
	}
	if (c->tasks) lws_callback_on_writable(c->wsi);
	return 0;
}

static void opened(struct connection *c, struct lws *wsi) {
	c->wsi = wsi;
	c->open = 1;
	tell("open", c->id, "", 0, *c->listener ? "\tprotocol=%s\tlistener=%s" : "\tprotocol=%s", c->protocol, c->listener);
}

static void peer_closes(struct connection *c, const unsigned char *in, size_t size) {
	if (size >= 2) told_end(c, "close", in + 2, size - 2, in[0] << 8 | in[1]);
	else told_end(c, "close", "", 0, LWS_CLOSE_STATUS_NO_STATUS);
}

static void obey_input(void);

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t size) {
	struct connection *c = lws_get_opaque_user_data(wsi);
	switch (reason) {
	case LWS_CALLBACK_RAW_RX_FILE:
		obey_input();
		return 0;
	case LWS_CALLBACK_RAW_CLOSE_FILE:
		_exit(0); // the tests have ended, in whatever way
	case LWS_CALLBACK_ESTABLISHED: {
		char id[32];
		snprintf(id, sizeof id, "accepted%d", ++accepted);
		c = new_connection(id);
		const char *listener = lws_get_vhost_name(lws_get_vhost(wsi)), *protocol = lws_get_protocol(wsi)->name;
		snprintf(c->listener, sizeof c->listener, "%s", listener);
		snprintf(c->protocol, sizeof c->protocol, "%s", strcmp(protocol, "peer") ? protocol : "");
		lws_set_opaque_user_data(wsi, c);
		opened(c, wsi);
		return 0;
	}
	case LWS_CALLBACK_CLIENT_FILTER_PRE_ESTABLISH:
		lws_hdr_copy(wsi, c->protocol, sizeof c->protocol, WSI_TOKEN_PROTOCOL);
		return 0;
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		opened(c, wsi);
		return 0;
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		failed(c->id, in ? in : "no connection");
		forget(c);
		lws_set_opaque_user_data(wsi, NULL);
		return 0;
	case LWS_CALLBACK_RECEIVE:
	case LWS_CALLBACK_CLIENT_RECEIVE:
		receive(c, wsi, in, size);
		return 0;
	case LWS_CALLBACK_RECEIVE_PONG:
	case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
		tell("pong", c->id, in, size, "");
		return 0;
	case LWS_CALLBACK_SERVER_WRITEABLE:
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		return act(c);
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		peer_closes(c, in, size);
		return 0;
	case LWS_CALLBACK_CLOSED:
	case LWS_CALLBACK_CLIENT_CLOSED:
		if (c) {
			told_end(c, "error", "ended", 5, 1006);
			forget(c);
			lws_set_opaque_user_data(wsi, NULL);
		}
		return 0;
	default:
		return 0;
	}
}

// new_vhost makes a place for a listener, or for a client with port CONTEXT_PORT_NO_LISTEN.
static struct lws_vhost *new_vhost(const struct command *m, int port) {
	struct lws_protocols *protocols = need(calloc(16, sizeof *protocols));
	struct lws_context_creation_info info = {0};
	int n = 0;
	protocols[n++] = (struct lws_protocols){"peer", callback, 0, 64 << 10};
	if (port != CONTEXT_PORT_NO_LISTEN && m->protocols) {
		char *names = need(strdup(m->protocols)), *name;
		while ((name = strsep(&names, ",")) && n < 15)
			protocols[n++] = (struct lws_protocols){name, callback, 0, 64 << 10};
	}
	info.protocols = protocols;
	info.port = port;
	info.iface = "127.0.0.1";
	info.vhost_name = need(strdup(m->id));
	info.options = LWS_SERVER_OPTION_VALIDATE_UTF8;
	if (port == CONTEXT_PORT_NO_LISTEN) {
		info.iface = NULL;
		info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
		info.client_ssl_ca_filepath = getenv("PEER_CERT");
	} else if (m->secure) {
		info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
		info.ssl_cert_filepath = getenv("PEER_CERT");
		info.ssl_private_key_filepath = getenv("PEER_KEY");
	}
	return lws_create_vhost(context, &info);
}

static void do_listen(const struct command *m) {
	struct lws_vhost *vhost = new_vhost(m, 0);
	if (!vhost) failed(m->id, "lws_create_vhost");
	else tell("listening", m->id, "", 0, "\tport=%d", lws_get_vhost_listen_port(vhost));
}

static void do_dial(const struct command *m) {
	struct lws_client_connect_info info = {0};
	const char *scheme, *address, *path;
	int port;
	if (lws_parse_uri(m->url, &scheme, &address, &port, &path)) {
		failed(m->id, "the URL");
		return;
	}
	char whole[256];
	snprintf(whole, sizeof whole, "/%s", path);
	char host[128];
	snprintf(host, sizeof host, "%s:%d", address, port);
	struct connection *c = new_connection(m->id);
	info.context = context;
	info.vhost = new_vhost(m, CONTEXT_PORT_NO_LISTEN);
	info.address = address;
	info.port = port;
	info.path = whole;
	info.host = host;
	info.ssl_connection = strcmp(scheme, "wss") ? 0 : LCCSCF_USE_SSL;
	info.protocol = m->protocols;
	info.local_protocol_name = "peer";
	info.ietf_version_or_minus_one = -1;
	info.opaque_user_data = c;
	// A failure has come to the callback.
	lws_client_connect_via_info(&info);
}

static void do_task(const struct command *m, char op) {
	struct connection *c = find(m->id);
	if (!c || !c->open) {
		failed(m->id, "the connection has ended");
		return;
	}
	struct task *t = need(calloc(1, sizeof *t + m->size)), **at = &c->tasks;
	t->op = op;
	t->binary = m->binary != NULL;
	t->code = m->code ? atoi(m->code) : 0;
	t->fragment = m->fragment ? atoi(m->fragment) : 0;
	t->size = m->size;
	memcpy(t->payload, m->payload, m->size);
	while (*at) at = &(*at)->next;
	*at = t;
	lws_callback_on_writable(c->wsi);
}

static void obey(const struct command *m) {
	if (!strcmp(m->op, "listen")) do_listen(m);
	else if (!strcmp(m->op, "dial")) do_dial(m);
	else if (!strcmp(m->op, "write")) do_task(m, 'w');
	else if (!strcmp(m->op, "ping")) do_task(m, 'p');
	else if (!strcmp(m->op, "close")) do_task(m, 'c');
	else if (!strcmp(m->op, "drop")) {
		struct connection *c = find(m->id);
		// It has no call for that.
		if (c && c->open) shutdown(lws_get_socket_fd(c->wsi), SHUT_RDWR);
	} // stop: listeners stay to the end
}

// parse cuts the line into fields.
static void parse(struct command *m, char *line) {
	static const char *names[] = {"op", "id", "url", "protocols", "secure", "fragment", "binary", "code"};
	char **values[] = {&m->op, &m->id, &m->url, &m->protocols, &m->secure, &m->fragment, &m->binary, &m->code}, *field;
	while ((field = strsep(&line, "\t"))) {
		char *name = strsep(&field, "=");
		if (!strcmp(name, "size")) m->size = strtoul(field, NULL, 10);
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			if (!strcmp(name, names[i])) *values[i] = field;
	}
}

static void obey_input(void) {
	static unsigned char *input;
	static size_t have, room;
	if (room - have < 64 << 10) input = need(realloc(input, room = 2 * room + (128 << 10)));
	ssize_t n = read(STDIN_FILENO, input + have, room - have);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
	if (n <= 0) _exit(0);
	have += n;
	unsigned char *end;
	while ((end = memchr(input, '\n', have))) {
		size_t line = end + 1 - input;
		char *text = need(strndup((char *)input, line - 1));
		struct command m = {0};
		parse(&m, text);
		m.payload = end + 1;
		if (have < line + m.size) {
			free(text);
			return;
		}
		obey(&m);
		free(text);
		have -= line + m.size;
		memmove(input, input + line + m.size, have);
	}
}

int main(void) {
	alarm(1200); // in case that it never gets to see the end of its input
	struct lws_context_creation_info info = {0};
	struct command none = {.id = "input"};
	lws_set_log_level(LLL_ERR | LLL_WARN, NULL);
	info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
	info.port = CONTEXT_PORT_NO_LISTEN;
	context = need(lws_create_context(&info));
	lws_sock_file_fd_type input = {.filefd = STDIN_FILENO};
	if (!lws_adopt_descriptor_vhost(need(new_vhost(&none, CONTEXT_PORT_NO_LISTEN)), LWS_ADOPT_RAW_FILE_DESC, input, "peer", NULL)) return 1;
	tell("hello", "0", "", 0, "\tversion=libwebsockets %s", lws_get_library_version());
	while (lws_service(context, 0) >= 0);
	return 1;
}
