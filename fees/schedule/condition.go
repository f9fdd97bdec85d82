package schedule

// Channel is how a dossier was submitted.
type Channel string

// The submission channels: trực tuyến, trực tiếp, bưu chính.
const (
	Online Channel = "online"
	Direct Channel = "direct"
	Postal Channel = "postal"
)

// ServiceLevel is how much of the service happens online.
type ServiceLevel string

// The levels of NĐ 42/2022/NĐ-CP.
const (
	ToanTrinh ServiceLevel = "toan_trinh"
	MotPhan   ServiceLevel = "mot_phan"
)

// PaymentChannel is how a payer pays. No policy found so far asks for one.
type PaymentChannel string

// The payment channels a policy may ask for.
const (
	PaidAnyhow PaymentChannel = "any"
	PaidOnline PaymentChannel = "online"
	PaidCash   PaymentChannel = "cash"
)

// Reason sums up in one word why due differs from base.
type Reason string

// The reasons. An exemption by law is never counted as an online discount.
const (
	ReasonExempt     Reason = "exempt_by_law"
	ReasonDiscounted Reason = "discounted"
	ReasonSubsidised Reason = "subsidised" // only a budget's subsidy lowers the payer's amount
	ReasonNone       Reason = "none"
)
