// Package postgres keeps hostler's state in a PostgreSQL database, which several controllers share:
// all of them serve, and any may be killed at any moment. It is package sqlite's sibling, with the
// same tables and the same promises.
//
// Who writes has the turn. The engine decides by what it reads, counts, the queue, what is ready,
// so two decisions about one source are in each other's way whatever the isolation: SERIALIZABLE
// would take one of them back, row by row locks would make it wait in the midst. So there is one
// writer at a time: a transaction holds the one row of table turn, locked or changed, from its
// first look at the database to its end, runs READ COMMITTED, as nobody else changes what it reads,
// and never deadlocks. What one at a time costs is made good by sharing: within a process calls to
// Update that meet become one transaction and one sync, as in package sqlite, and what they write
// goes to the server as a few statements, whatever their number.
//
// The turn's version grows with each transaction that wrote. A handle remembers what it has read
// and written, and while the version is the one that it left, all of that is true. So a transaction
// runs on its memory first, without asking; then all that it wrote goes to the server in one round
// trip, from BEGIN to COMMIT, with the condition that the version still be the same. Where another
// controller has written meanwhile, nothing has happened, memory is dropped, and the functions run
// again, this time with the turn taken first. What a function refuses is told only when it was
// refused by a state that is still the newest. Who changes the tables by hand must raise
// turn.version too.
//
// Where several write in turns, each takes the turn first, and hears with it which instances the
// others have changed since, so that it forgets these alone. It gives the turn away before the disk
// has what it wrote, by a commit that is not waited for, and then waits, in the same round trip,
// for a transaction behind it that is durable: what is behind in the server's log is on the disk
// when that is. So nothing is acknowledged that could be lost, though others may have seen it
// before; what is told of that, events and what was answered to requests, is told when it is on the
// disk too.
//
// One handle of all has the lead, for what one of several controllers is to do; see Lead. Listen
// hears what others write.
//
// A handle's worker number is an advisory lock, held by the session that writes. So it is the
// connection that decides: as long as it stands, the number is held and transactions commit; when
// it is cut, the server takes back what was not committed and lets the number go, so nothing is
// ever written under a number that others may think dead. The handle looks after its connection
// once a second and with each use. When it is lost, the handle opens another, ends what the server
// may still hold for the old one, and takes its number again: what others have taken over meanwhile
// has their number in its records, and the engine, which compares these before each step, leaves it
// alone. If the number cannot be had again, the handle goes on under a new one. Others take a
// worker for dead only when its lock has been free for a while (Options.Grace), so a server's
// restart, which cuts everybody, kills nobody's work.
//
// A process that sleeps in the midst of a transaction is cut off by the server after Options.Busy:
// nothing was changed, and when it wakes, it finds its connection gone and begins anew. A COMMIT
// whose answer was lost is looked up in turn.done: it is never run twice, and told as what it was.
//
// Sessions are prepared statements, advisory locks and transactions; a pooler between would mix
// them up, and is refused.
package postgres
