// Package junit reads reports of tests in JUnit's XML, sums them up, and writes them. Tools write
// this format a little differently. Read accepts what is clear: one suite, several or nested ones,
// counts as attributes or none, any common encoding, letters that XML forbids. The rest is an
// error, since a report that is cut short must not look like tests that passed.
//
// The files may come from untrusted computers. Reading takes bounded memory. Entities are not
// expanded, and nothing that the file names is opened.
package junit
