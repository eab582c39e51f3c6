// Package junit reads reports of tests in the XML that is named for JUnit, adds several up, and
// writes one. Everybody who makes such files makes them a little differently, so Read takes what is
// meant wherever that is clear: one suite or many, nested ones, counts as attributes or to be
// counted, UTF-8 or another encoding, letters that XML forbids. What is not clear is an error: a
// report that is cut short, or none, must not look like tests that passed.
//
// The files come from machines that need not be trusted. Reading one takes bounded memory, entities
// are not expanded, and nothing that it names is opened.
package junit
