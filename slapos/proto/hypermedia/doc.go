// Package hypermedia has the documents, queries and link templates of SlapOS's hypermedia API.
package hypermedia
