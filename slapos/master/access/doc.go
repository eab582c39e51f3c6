// Package access says who calls a master, and what a caller may do there. It has the words in which
// a master refuses a request, the checks of names, and the record of what came of a request.
package access
