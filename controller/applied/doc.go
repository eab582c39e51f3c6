// Package applied keeps things that users apply remotely: sources, bundles and projects, each with
// all of its files. They are in the store, so all controllers of a database share them. They are in
// force in addition to those in files.
//
// A Book applies things. It computes the changes (a pure function), has the result checked as it
// would be in force, and writes it in one transaction. A Mirror writes the state of the store to a
// directory of configuration, which package config reads like any other. The directory can be
// deleted.
//
// Things have a normal form: files sorted by path, and permissions without machine-specific bits.
// So applying the same set again writes nothing.
package applied
