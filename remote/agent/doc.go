// Package agent carries a compute.Conn over one byte stream: a unix socket, a pipe, the standard
// streams of an ssh session, a virtio-serial port. Serve offers a Conn to the client at the other
// end. A Client is a Conn whose work the other end does.
//
// One stream of bytes carries many streams of work. Each side begins with a hello of eight bytes:
// the magic "HsAg", the version of the protocol and two bytes that are zero. The client sends its
// first request together with its hello; the server answers with the client's version if it speaks
// it, else with its own, and closes. Then come frames: one byte with the kind (low six bits) and
// the channel (high two), three with the length of what follows, four with the stream's number, all
// big-endian. A client numbers its streams 1, 3, 5, ..., a server the connections that its
// listeners accept 2, 4, 6, ...; a number is never used again.
//
//	kind      from    channel  body
//	open      client           the request: operation and arguments
//	data      both    0, 1, 2  bytes; 0 goes to the server, 1 and 2 to the client (a command's
//	                           stdin, stdout, stderr)
//	eof       both    0, 1     no more data will come
//	credit    both    0, 1, 2  so many bytes more may be sent (on a listener's stream:
//	                           connections)
//	reset     both    0, 1, 2  no more data is wanted
//	signal    client           a signal's name
//	resize    client           rows and columns
//	cancel    client           end what the stream does, by force; with a byte 1: leave it to
//	                           itself, where it is held
//	reply     server           a dialled connection stands, or a listener listens: its address; a
//	                           command that is to be kept has begun
//	accept    server           on a listener's stream: the number of the new stream, and who
//	                           connected
//	result    server           the end of the stream: an exit or an error; nothing follows
//
// What is sent on a channel is limited by credit: 128 KiB at first, and more as the receiver takes
// them. So a slow reader stops only its own stream, and the memory of either side is bounded
// whatever the other sends. Where a peer breaks these rules the connection ends.
//
// The package imports compute and the standard library only, uses no deadlines of the byte stream,
// and costs nothing at program start, because a guest's small agent is built from it.
package agent
