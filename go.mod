module github.com/chanws/chanws

go 1.25

require (
	github.com/stretchr/testify v1.12.1 // indirect
	golang.org/x/sync v0.19.0 // indirect
	nhooyr.io/websocket v1.8.17 // indirect
)
