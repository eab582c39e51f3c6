package qmp

// Read reads a message.
var Read = read
