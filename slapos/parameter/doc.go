// Package parameter prepares the parameters of a request for an instance: it reads them from words
// of a command line ([Pairs]) and from files ([File]), puts them into the form in which the
// software wants them ([XML], [JSON]), and checks them by the schema that stands beside the
// software release ([Loader], [Release]).
package parameter
