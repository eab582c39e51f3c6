// Package client asks a SlapOS master, by its legacy endpoints, its JSON API and its
// hypermedia API.
package client
