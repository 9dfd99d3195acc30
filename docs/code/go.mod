module github.com/chanws/chanws/docs/code

go 1.25

require (
	github.com/chanws/chanws v0.0.0-00010101000000-000000000000
	github.com/coder/websocket v1.8.15
	github.com/gorilla/websocket v1.5.3
	github.com/lxzan/gws v1.8.9
	github.com/stretchr/testify v1.12.1
)

replace github.com/chanws/chanws => ../..
