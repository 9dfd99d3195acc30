package main

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/chanws/chanws"
)

const (
	maxName = 24 // characters
	maxRoom = 24
	maxText = 1000
)

// A message is the JSON that goes to and fro.
//
//	from the page  join(room, name, hue, page)  say(text)  stats()
//	to the page    joined(room, name, hue)  history(messages)  people(people)
//	               message(name, hue, at, text)  notice(text)  error(text)  stats(stats)
type message struct {
	Type     string    `json:"type"`
	Room     string    `json:"room,omitempty"`
	Name     string    `json:"name,omitempty"`
	Page     string    `json:"page,omitempty"` // a random text that only this page knows: see room.ghost
	Hue      int       `json:"hue,omitempty"`  // a person's colour, in degrees
	At       int64     `json:"at,omitempty"`   // Unix time in microseconds; no two messages have the same
	Text     string    `json:"text,omitempty"`
	People   []member  `json:"people,omitempty"`
	Messages []message `json:"messages,omitempty"`
	Stats    *stats    `json:"stats,omitempty"`
}

// A member is how a person looks to the others in a room.
type member struct {
	Name string `json:"name"`
	Hue  int    `json:"hue"`
}

func encode(m message) chanws.Text {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings and numbers can always be encoded
	}
	return chanws.Text(text)
}

// clean makes single spaces of all white space.
func clean(s string) string { return strings.Join(strings.Fields(s), " ") }

// valid reports whether s can be shown as a name of at most so many characters.
func valid(s string, most int) bool {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	return s != "" && utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, unprintable)
}
