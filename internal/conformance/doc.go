// Package conformance holds the library against RFC 6455 and RFC 7692, section by
// section, with a peer that is nothing but bytes.
//
// There is no code here but tests. Each is an exchange: what the peer says on the
// wire, what it must hear, which events the user must see, and how it must end. The
// frames of the peer are made and read by code of this package, so that no mistake of
// internal/frame can hide behind itself. Every exchange is run against a server and
// against a client, and for both the peer's words come in as few pieces as they can
// and octet by octet.
//
// The tables are strict where the RFC leaves a choice and the library has made one:
// the reasons of close frames, the octet at which a violation is answered, and that
// nothing comes after a close frame.
//
// Compression is negotiated by hand: an exchange has the peer's terms, and the tables of
// compression_*_test.go are played in every mode. What is compressed is written
// by code of this package and read by that of internal/deflate/deflatetest, not by the library's codec.
package conformance
