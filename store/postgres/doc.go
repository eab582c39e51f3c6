// Package postgres keeps hostler's state in a PostgreSQL database, which several controllers share:
// all of them serve, and any may be killed at any moment. It is package sqlite's sibling, with the
// same tables and the same promises.
//
// A writer takes the turn. The engine decides by what it reads (counts, the queue, ready
// instances), so two decisions about one source conflict whatever the isolation. SERIALIZABLE would
// roll one back; row locks would make it wait in the midst. So there is one writer at a time: a
// transaction holds the one row of table turn, locked or changed, from its first look at the
// database to its end. It runs READ COMMITTED, as no other writer changes what it reads, and it
// never deadlocks. Sharing makes up for the single writer. Within a process, calls to Update that
// meet become one transaction and one sync, as in package sqlite. Their writes go to the server as
// a few statements, whatever their number.
//
// The turn's version grows with each transaction that wrote. A handle remembers its reads and
// writes; they are true while the version is the one that it left. So a transaction runs on its
// memory first, without asking. Then its writes go to the server in one round trip, from BEGIN to
// COMMIT, on condition that the version is still the same. If another controller has written
// meanwhile, nothing has happened: memory is dropped, and the functions run again with the turn
// taken first. The error of a function is returned only if the state that it saw is still the
// newest. A change of the tables by hand must raise turn.version too.
//
// Where several write in turns, each takes the turn first. It hears with it which instances the
// others have changed since, and forgets these alone. It gives the turn away before the disk has
// its changes, by an asynchronous commit. In the same round trip it then waits for a durable
// transaction behind it: when that is on the disk, all before it in the server's log is too. So
// nothing is acknowledged that could be lost, though others may have seen it before. Events and
// answers to requests are told when they are on the disk.
//
// One handle of all has the lead, for the work of only one of several controllers; see Lead. Listen
// reports the writes of others.
//
// A handle's worker number is an advisory lock, held by the session that writes. So the connection
// decides: as long as it stands, the number is held and transactions commit. When it is cut, the
// server rolls back and frees the number, so nothing is ever written under a number that others may
// think dead. The handle checks its connection once a second and with each use. When the connection
// is lost, the handle opens another, ends what the server may still hold for the old one, and takes
// its number again. Work that others have taken over meanwhile has their number in its records; the
// engine compares these before each step, and leaves it alone. If the number cannot be had again,
// the handle goes on under a new one. Others take a worker for dead only when its lock has been
// free for a while (Options.Grace), so a server's restart, which cuts all connections, ends no
// worker.
//
// A process that sleeps in the midst of a transaction is cut off by the server after Options.Busy.
// Nothing was changed; when it wakes, it finds its connection gone and begins anew. A COMMIT whose
// answer was lost is looked up in turn.done: it is never run twice, and its true result is
// returned.
//
// Sessions are prepared statements, advisory locks and transactions; a pooler between would mix
// them up, and is refused.
package postgres
