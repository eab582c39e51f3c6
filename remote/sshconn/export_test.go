package sshconn

// WriteFar is tested by itself: from outside, the end of a context and the end of its session
// cannot be told apart in time.
var WriteFar = writeFar
