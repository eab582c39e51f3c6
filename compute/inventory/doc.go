// Package inventory has what a lease engine can be asked beside taking computers and giving them
// back (compute.Leaser): the instances, leases, events and sources that there are, and the queue.
// It has the queries and the answers. The engine itself answers, and so does a client of a
// controller; a store answers the same queries.
package inventory
