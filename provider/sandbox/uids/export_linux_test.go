package uids

// Open opens the file of locks.
var Open = open
