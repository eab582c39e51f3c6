// Package proto speaks the SLAP protocol of SlapOS: the HTTP protocol between a master, which holds
// the wishes, and the nodes and clients that ask it. The master's own side is package
// slapos/master.
//
// Of its three families of messages this package reads and writes
//
//   - values in XML ([Marshal], [Unmarshal]), the language of the legacy endpoints, with four
//     objects in them ([Computer], [Partition], [Release], [Instance]); beside them a
//     client's request ([Request]), a computer's description of itself ([Configuration]), the
//     documents of parameters and connection parameters ([FormatParameters]), and usage reports
//     ([Transaction]);
//   - the JSON API: a POST for each [Method], with a [Call];
//   - the hypermedia API: JSON documents with links ([Root], [Results], [Form]), which are templates
//     ([Expand]).
//
// A [Client] speaks all three with a master.
//
// XML is written byte for byte as the reference programs write it. Input may come from anywhere. A
// document that is too large, too deep, or malformed is refused with an error that is
// [ErrMalformed] and says where. Nothing in a document names a file, an entity or code. Allocation
// stays within a fixed multiple of the document's size.
//
// All functions may be called concurrently. The package leaves no goroutines but those of a
// client's kept connections.
package proto
