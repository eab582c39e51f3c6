// Package jsonapi has the methods of SlapOS's JSON API, with their inputs and answers.
package jsonapi
