// Package config reads the configuration files (sources/NAME/source.conf, hostler.conf, and
// crcache's own) into plain structs. No other package reads these files.
//
// Roots are read in a fixed order. The first definition of a source counts as a whole; hostler.conf
// is merged key by key. An error in a source breaks only that source: its Err has file, line, key
// and the key that was meant. A provider's settings stay text until Decode fills its Options.
//
// A tree's roots (.hostler, .crcache) come with the tree and may be anybody's. A source in them
// that would run code on this machine, or send something of the user's away, does not work until
// the user has approved it; see Danger and TrustStore. Links cannot leave these roots; in the
// user's own they can.
//
// Errors are *Error. A loaded Config does not change and may be read concurrently; everything else
// must not be used concurrently.
package config
