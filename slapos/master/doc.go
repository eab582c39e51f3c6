// Package master is the side of SlapOS that decides: what is requested, where it runs, and what
// each node is told of that.
//
// A [Master] has its operations as methods of its parts: Requests, Instances, Computers,
// Statuses, Usage (package usage) and Certificates (package certificate). There is one for each
// thing that a node, a user or an instance may say. A refused operation returns an
// [access.Refusal], in words that its peers know. Below the parts are the ledger (package
// ledger: store and memory), the allocation (which finds places) and the trees (which carry a
// change on).
//
// A protocol reads a message, calls one of them, and writes the answer in its own way. The
// protocols are packages legacy, rpc and hypermedia below this one; package web serves all.
//
// A master keeps its state in a store ([store.Transactor]), which several masters may share.
// Every change is one transaction, on the disk when the method returns. The store's own
// constraints ensure that no two instances have one partition, or one title within a tree. Reads
// are answered from memory, which is compared with the store's revision before each answer, so
// changes of other masters are seen at once. A request that changes nothing is answered like
// that too, and writes nothing.
//
// docs/slapos.md says how instances are placed, how states go through trees, and where this
// differs from the reference.
package master
