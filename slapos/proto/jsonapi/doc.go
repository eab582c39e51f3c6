// Package jsonapi has the methods of SlapOS's JSON API: what each is sent and what it answers.
package jsonapi
