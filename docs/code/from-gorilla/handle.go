package fromgorilla

// handled takes what the read loops of the page hand over.
var handled = make(chan string, 64)

func handle(data []byte) { handled <- string(data) }
