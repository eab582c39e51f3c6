// Package auth says who somebody is and what he may do: principals of a controller, by the socket
// that they came through or by what they present.
package auth
