module github.com/chanws/chanws

go 1.25

require (
	github.com/klauspost/compress v1.20.3
	github.com/stretchr/testify v1.12.1
	golang.org/x/sync v0.19.0
	golang.org/x/sys v0.41.0
	golang.org/x/term v0.40.0
	nhooyr.io/websocket v1.8.17
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect
