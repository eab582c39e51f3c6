// Package slap speaks the SLAP protocol of SlapOS: the HTTP protocol between a master, which holds what is wanted, and the
// nodes and clients that ask it. The master's own side is package slap/master.
//
// Values travel as XML documents ([Marshal], [Unmarshal]), with four objects that may stand in them ([Computer], [Partition],
// [Release], [Instance]) and beside what a client asks for ([Request]) and what a computer says that it is ([Configuration]).
// Parameters and connection parameters are kept as documents of their own ([FormatParameters]), and so are usage reports
// ([Transaction]).
//
// What is written is byte for byte what the reference programs write. What is read may come from anywhere: a document that
// is too large, too deep, or not of the format is refused with an error that is [ErrMalformed] and says where; nothing in a
// document names a file, an entity or code. Memory stays within a small multiple of the document's size.
//
// All functions may be called concurrently.
package slap
