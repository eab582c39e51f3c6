package api

import "time"

// Act is an entry of the audit log: a request that was done or refused.
type Act struct {
	ID      int64     `json:"id" doc:"grows"`
	Time    time.Time `json:"time" doc:"when the request came"`
	Who     string    `json:"who,omitempty" doc:"left out: nobody whom the controller knows"`
	Via     string    `json:"via,omitempty" doc:"how he is known"`
	From    string    `json:"from,omitempty" doc:"his address; left out: the socket of this machine"`
	Project string    `json:"project,omitempty" doc:"the thing's"`
	Act     string    `json:"act" doc:"the operation, such as acquire or create-token; sign-in where nobody was known"`
	Thing   string    `json:"thing,omitempty" doc:"the names of what it was about, with commas between"`
	Outcome string    `json:"outcome" doc:"done, or a problem's code"`
	Detail  string    `json:"detail,omitempty" doc:"what went wrong"`
	Reason  string    `json:"reason,omitempty" doc:"why, as he said"`
	Request string    `json:"request,omitempty" doc:"the request's id, which the controller's log has too"`
	Missed  int       `json:"missed,omitempty" doc:"so many refusals before it are not in the log, as there were too many"`
}
