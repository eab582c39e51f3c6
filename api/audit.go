package api

import "time"

// Act is an entry of the audit log: a request that was done or refused.
type Act struct {
	ID      int64     `json:"id" doc:"A number that grows"`
	Time    time.Time `json:"time" doc:"When the request came"`
	Who     string    `json:"who,omitempty" doc:"Who made the request. Left out if the caller was not authenticated."`
	Via     string    `json:"via,omitempty" doc:"How the caller was authenticated"`
	From    string    `json:"from,omitempty" doc:"Address of the caller. Left out for the socket of this machine."`
	Project string    `json:"project,omitempty" doc:"Project of the object"`
	Act     string    `json:"act" doc:"Operation, such as acquire or create-token. It is sign-in if the caller was not authenticated."`
	Thing   string    `json:"thing,omitempty" doc:"Names of the objects, separated by commas"`
	Outcome string    `json:"outcome" doc:"done, or the code of a problem"`
	Detail  string    `json:"detail,omitempty" doc:"What went wrong"`
	Reason  string    `json:"reason,omitempty" doc:"The reason that the caller gave"`
	Request string    `json:"request,omitempty" doc:"ID of the request, as in the controller's log"`
	Missed  int       `json:"missed,omitempty" doc:"Number of refusals before this one that were not logged, because there were too many"`
}
