// Package certificate keeps the certificates of a controller: the one that it shows, and what it
// knows of those that its clients show.
//
// Files are read when Load or Reload is called; what is wrong with one of them changes nothing. A
// client's certificate counts while its authority is trusted, it is in its time and it is not
// revoked; that is asked for each request, which can be told why not, so that a connection outlives
// none of these.
package certificate
