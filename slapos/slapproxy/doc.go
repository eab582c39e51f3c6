// Package slapproxy reads the databases of slapproxy, the reference's micro-master, in its schema
// versions 10 to 17, and makes records of a master of what is in them.
//
// A database is read in one transaction, as it was at one time, and is never written, so that
// slapproxy may have it open. What in it has no meaning, or one that had to be guessed, is said in
// words for people.
package slapproxy
