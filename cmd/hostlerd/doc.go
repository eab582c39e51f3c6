/*
Hostler keeps computers ready. Ask for one, have it in milliseconds, use it as if it were local, give it back: it is cleaned and kept warm for
the next, or discarded.

	hostler run sandbox -- make test    run a command in a private copy of this machine, which is gone afterwards

	hostler acquire -s web              take an instance of the source web; prints its name
	hostler run web-3 -- make           run a command on it
	hostler cp out.txt web-3:           copy files in and out
	hostler release web-3               give it back
	hostler run web -- make             all of it: acquire, run, release

	hostler deploy www -s web           make a node: an instance under a name of its own, with bundles put on it
	hostler list                        which there are
	hostler destroy www                 unmake it

A NAME is looked up as an instance, then as a lease's name, then as a source. Without one it is the source that hostler.conf names under
[defaults], else sandbox: this machine's files, seen through a private layer, with processes, users and a network of its own; made in
milliseconds, and gone with all that was written in it. docs/sandbox.md says what it is, and what it is no boundary for. local is this
machine itself, as it is. Sources are directories sources/NAME with a file source.conf; `hostler config show` says from where they were read,
`hostler source list` which there are, `hostler doctor` what works on this machine.

Where a controller runs (`hostler serve`) commands find its socket and ask it, and do and say the same as without. --controller names another, by its
address or socket, --embedded asks none. docs/controller.md says more.

Exit status: 0 done, 1 failed or unavailable, 2 usage or configuration, 3 no capacity, 4 timed out, 5 not found, 6 conflict (not leased, not now),
7 denied, 130 interrupted (128+n by signal n). run and shell exit as their command did (128+n for signal n); their own: 121 contact lost, 124
--timeout, 125 hostler failed before the command began, 126 not executable, 127 not found.

Called by the name crcache, deploy-node, list-nodes, destroy-node, arsenal-director or slapos (hostler compat install makes the links), it takes that program's verbs and options and answers as it did.
*/
package main
