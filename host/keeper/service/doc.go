// Package service is the keeper itself: it opens connections, does what is due, and oversees
// instances, with the engine of a host.
package service
