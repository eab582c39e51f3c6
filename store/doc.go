// Package store is the parent of the stores. It holds nothing: each owner of state declares what it
// needs, the stores satisfy it, and storetest tests them all.
package store
