package main

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/chanws/chanws"
)

const commands = `  /ping [text]            send a ping
  /pong [text]            send a pong
  /binary hex             send a binary message, such as /binary 68 69
  /close [code] [reason]  close the connection, with 1000 unless there is a code
  /quit                   close the connection, with -l all of them, and end
  /help                   show this
  //text                  send a text that begins with a slash, /text
`

// read makes a message of a line. It returns nil if there is nothing to send.
func read(line string, s *screen) (chanws.Message, error) {
	switch {
	case line == "/help":
		s.note("%s", commands)
		return nil, nil
	case line == "" && s.editor != nil:
		return nil, nil // just Enter
	}
	return parse(line)
}

// parse makes a message of a line. The library checks whether it may be sent.
func parse(line string) (chanws.Message, error) {
	if !strings.HasPrefix(line, "/") {
		return chanws.Text(line), nil
	}
	if strings.HasPrefix(line, "//") {
		return chanws.Text(line[1:]), nil
	}
	command, rest, _ := strings.Cut(line, " ")
	switch command {
	case "/ping":
		return chanws.Ping(rest), nil
	case "/pong":
		return chanws.Pong(rest), nil
	case "/binary":
		b, err := hex.DecodeString(strings.ReplaceAll(rest, " ", ""))
		if err != nil {
			return nil, fmt.Errorf("/binary: %w; want two hexadecimal digits for each byte", err)
		}
		return chanws.Binary(b), nil
	case "/quit":
		return chanws.Close{Code: chanws.StatusNormalClosure}, nil
	case "/close":
		code, reason, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if code == "" {
			return chanws.Close{Code: chanws.StatusNormalClosure}, nil
		}
		n, err := strconv.Atoi(code)
		if err != nil {
			return nil, fmt.Errorf("/close: %q is no code, which is a number such as 1000", code)
		}
		return chanws.Close{Code: chanws.StatusCode(n), Reason: reason}, nil
	}
	return nil, fmt.Errorf("unknown command %s; /help lists them, a second slash sends it as text", command)
}
