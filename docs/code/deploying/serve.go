package deploying

import "github.com/chanws/chanws"

// serve echoes text until the connection ends.
func serve(c *chanws.Conn) {
	defer c.CloseNow()
	for ev := range c.Events() {
		if text, ok := ev.(chanws.Text); ok {
			c.Send <- text
		}
	}
}
