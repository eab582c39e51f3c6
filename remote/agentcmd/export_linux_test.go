package agentcmd

// SocketOf is where a daemon of this very program listens.
var SocketOf = socketOf
