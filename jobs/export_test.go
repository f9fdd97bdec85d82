package jobs

// The plan of an inquiry, for the tests of the queue.
const InquiryQueue = queueInquiries

var InquiryAttempts = inquiryPlan.attempts
