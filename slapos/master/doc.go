// Package master is the side of SlapOS that decides: what is requested, where it runs, and what
// each node is told of that.
//
// A [Master] has its operations as methods of its parts: Requests, Instances, Computers, Statuses
// and Certificates. For each thing that a node, a user or an instance may say there is
// one, and what it refuses is a [Refusal], whose words are those that its peers know. Below the
// parts are the ledger (package ledger: store and memory), the allocation (which finds places) and
// the trees (which carry a change on).
//
// What speaks a protocol (packages legacy, rpc and hypermedia below this one; package web serves
// all of them) reads a message, calls one of them, and writes the answer in its own way.
//
// What a master keeps is in a [ledger.Store], which several of them may share: every change is one
// transaction, on the disk when the method returns, and the store's own constraints see to it that
// no two instances have one partition or one title within a tree. Reads are answered from memory,
// which is compared with the store's revision before each answer, so what another master has
// changed is seen at once; so is a request that changes nothing, which writes nothing.
//
// How instances are placed, how states go through trees, and where this differs from the reference,
// is said in docs/slapos.md.
package master
