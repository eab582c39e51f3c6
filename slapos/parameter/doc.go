// Package parameter prepares the parameters of a request for an instance. It reads them from words
// of a command line ([Pairs]) and from files ([File]). It converts them to the form that the
// software wants ([XML], [JSON]), and checks them by the schema beside the software release
// ([Loader], [Release]).
package parameter
