// Package slapproxy reads the databases of slapproxy, the reference's micro-master, in its schema
// versions 10 to 17, and makes records of a master from them.
//
// A database is read in one transaction, as of one time, and is never written, so slapproxy may
// have it open. Content without a meaning, or with a guessed one, is listed in notes for people.
package slapproxy
