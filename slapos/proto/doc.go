// Package proto speaks the SLAP protocol of SlapOS: the HTTP protocol between a master, which holds
// what is wanted, and the nodes and clients that ask it. The master's own side is package
// slap/master.
//
// Of its three families of messages this package reads and writes
//
//   - values in XML ([Marshal], [Unmarshal]), the language of the legacy endpoints, with four objects that may stand in them
//     ([Computer], [Partition], [Release], [Instance]), and beside them what a client asks for ([Request]), what a computer
//     says that it is ([Configuration]), and the documents in which parameters and connection parameters are kept
//     ([FormatParameters]) and what was used is reported ([Transaction]);
//   - the JSON API: a POST for each [Method], with a [Call];
//   - the hypermedia API: JSON documents with links ([Root], [Results], [Form]), which are templates ([Expand]).
//
// A [Client] speaks all three with a master.
//
// XML is written byte for byte as the reference programs write it. What is read may come from
// anywhere: a document that is too large, too deep, or not of the format is refused with an error
// that is [ErrMalformed] and says where; nothing in a document names a file, an entity or code.
// What is allocated stays within a fixed multiple of the document's size.
//
// All functions may be called concurrently. Nothing is done that a caller did not ask for, and no
// goroutine is left but those of a client's kept connections.
package proto
