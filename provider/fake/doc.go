// Package fake is the provider of type fake: computers in memory, or in a few small files, that
// boot slowly and fail on request. It is linked into the product, so demonstrations, load tests and
// the tests of every other room need no cloud.
//
// The computers live in a Cloud, not in the Provider: as with a real cloud, a process that dies
// leaves them behind, and the next one finds them. In memory the Cloud is handed over by Options;
// with state = disk it is the directory Options.Dir, which several processes may use at once. A
// fake computer runs no command: it answers each with the text `foo` (or Options.Reply), unless run
// = exec, where the command runs on this machine. What is put on it is kept, up to a mebibyte,
// until it is cleaned.
//
// Failures come in two ways: by the rates fail-create and so on, and by Options.Fail, which is
// asked before each operation and, with "-answer" behind the operation's name, after its effect: an
// error there is an answer that was lost on the way.
//
// All delays are the time package's timers, so that testing/synctest may run them.
package fake
