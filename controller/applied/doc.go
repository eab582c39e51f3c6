// Package applied keeps what people apply: sources, bundles and projects as whole sets of files,
// wanted so by somebody elsewhere and kept in the store, so that all controllers of one database
// have them. What is in force is what stands in files, and what was applied besides.
//
// A Book applies: it works out what changes (a pure function), has that checked as it would be in
// force, and writes all of it in one transaction or nothing. A Mirror shows what the store has as a
// directory of configuration, which package config reads like any other; what is in it can be
// thrown away.
//
// Things are in a normal form: files by path, permissions without what no two machines agree on.
// The same set again writes nothing.
package applied
