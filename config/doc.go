// Package config reads the files of design section 6 (sources/NAME/source.conf, hostler.conf, and
// crcache's own) and gives plain structs. Nobody else sees the files.
//
// Roots are read in a fixed order; the first definition of a source wins as a whole, hostler.conf
// key by key. What is wrong in a source breaks that source alone: its Err says file, line, key and
// the nearest good key. A provider's own settings stay text until Decode fills its Options.
//
// A tree's roots (.hostler, .crcache) come with the tree and may be anybody's: what in them would
// run code on this machine or send something of the user's away keeps its source from working until
// the user has approved it, see Danger and TrustStore. They are read without leaving them by links;
// the user's own roots may have links to anywhere.
//
// The package imports nothing of ours: its errors are *Error. Nothing in it is safe for use by
// several goroutines while it is changed; a loaded Config is not changed any more.
package config
