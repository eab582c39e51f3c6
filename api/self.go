package api

// Self is who asks, and whom he asks.
type Self struct {
	Name    string `json:"name" doc:"whose the leases are that the caller takes"`
	Admin   bool   `json:"admin" doc:"he may act on anybody's"`
	Version string `json:"version" doc:"of the controller"`
}
