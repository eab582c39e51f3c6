// Package hostler is the root of the module and holds nothing but this map.
//
// Hostler keeps computers ready: ask for one, use it as if it were local, give it back. README.md
// says how to use the program, ARCHITECTURE.md how its parts fit, and IMPORTS which package may
// import which; the test beside this file holds the tree to it.
//
// A newcomer's way in: package compute (the words), provider/local (one provider whole), pool (the
// lease engine), cmd/hostlerd (how all joins). Until version 1 only compute, client, api, cloud and
// slap promise compatibility.
package hostler
