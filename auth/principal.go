package auth

// Principal is somebody whom a controller knows.
type Principal struct {
	Name  string // whose the leases are that he takes
	Admin bool   // may act on anybody's
	Here  bool   // is a process of the controller's own machine, seen by its socket
	Own   bool   // is the user that the controller runs as
}
