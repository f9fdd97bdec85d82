package fees

// Statuses lists every status a document may carry, in the order of life.
func Statuses() []Status {
	return []Status{Draft, Submitted, Rejected, Approved, InForce, InForceOrPast, Expired, Repealed, Superseded}
}

// Acts lists every act.
func Acts() []Act { return []Act{ActSubmit, ActApprove, ActReject, ActRepeal, ActSupersede} }
