// Package fake is the provider of type fake: computers in memory, or in a few small files. They
// boot slowly and fail on request. The package is part of the product, so demonstrations, load
// tests and the tests of other packages need no cloud.
//
// The computers live in a Cloud and not in the Provider. As with a real cloud, a process that dies
// leaves them behind, and the next one finds them. In memory, Options holds the Cloud. With state =
// disk it is the directory Options.Dir, which several processes may use at once.
//
// A fake computer runs no command: it answers each with the text `foo` or Options.Reply. With run =
// exec or home, commands run on this machine. Files that are put on a computer are kept until it is
// cleaned, up to 1 MiB.
//
// Failures come in two ways. The keys fail-create and so on are rates. Options.Fail is asked before
// each operation. It is asked again after the effect, with "-answer" behind the operation's name:
// an error there is an answer that was lost.
//
// All delays use timers of the package time, so testing/synctest can run them.
package fake
