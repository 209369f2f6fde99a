"""What each column of a table of results holds, and in which unit."""

from dataclasses import dataclass

# Of the loss and what it is differentiated by; "1" is a number without a unit.
CURVATURE, SLOPE, LOSS, PARAMETER = "loss / parameter²", "loss / parameter", "loss", "parameter"
NUMBER, IMAGES = "1", "images"


@dataclass(frozen=True)
class Column:
    """A column of a table of results.

    Attributes:
        unit: of its numbers; ``1`` where they have none; empty for words.
        says: what it holds, in a line.
    """

    unit: str
    says: str


# Of one loss, in the order of `spectra.Analysis.rows`.
COLUMNS = {
    "class": Column("", "label of the class, or the name of a group: head, mid, tail, overall"),
    "classes": Column("", "labels of the images that the loss is over"),
    "n": Column(IMAGES, "images that the loss is over"),
    "accuracy": Column(NUMBER, "fraction right on the test images of the same classes"),
    "fit_accuracy": Column(NUMBER, "fraction right on these same images"),
    "loss": Column(LOSS, "mean loss over these images"),
    "lambda_min": Column(CURVATURE, "smallest eigenvalue of the Hessian"),
    "lambda_max": Column(CURVATURE, "largest eigenvalue of the Hessian"),
    "ratio": Column(NUMBER, "|lambda_min / lambda_max|"),
    "residual_min": Column(CURVATURE, "‖Hv - λv‖ of lambda_min and its vector"),
    "residual_max": Column(CURVATURE, "‖Hv - λv‖ of lambda_max and its vector"),
    "converged": Column("", "whether both residuals are within the tolerance"),
    "steps": Column(NUMBER, "Lanczos steps of the run that both eigenvalues come from"),
    "grad_norm": Column(SLOPE, "length of the gradient"),
    "grad_along_vmin": Column(NUMBER, "|cosine| of gradient and eigenvector of lambda_min"),
    "grad_norm_error": Column(SLOPE, "what rounding may have done to grad_norm"),
    "critical_radius": Column(
        PARAMETER, "2‖g‖ / |lambda_min|: steps beyond it gain more by curvature than by slope"
    ),
    "radius": Column(PARAMETER, "length of step that the verdict speaks of"),
    "node_min": Column(CURVATURE, "lowest node of the density's quadrature"),
    "node_max": Column(CURVATURE, "highest node of the density's quadrature"),
    "trace": Column(CURVATURE, "trace of the Hessian, estimated from the probes"),
    "trace_error": Column(CURVATURE, "1.96 of it to either side are the 95 % interval of trace"),
    "negative_mass": Column(NUMBER, "share of eigenvalues below -1e-6 max|node|, estimated"),
    "negative_mass_low": Column(NUMBER, "lower end of the 95 % interval of negative_mass"),
    "negative_mass_high": Column(NUMBER, "upper end of the 95 % interval of negative_mass"),
    "below_tau_at_least": Column(NUMBER, "eigenvalues below -τ lambda_max: at least so many"),
    "below_tau": Column(NUMBER, "eigenvalues below -τ lambda_max, estimated"),
    "below_tau_low": Column(NUMBER, "lower end of the 95 % interval of below_tau"),
    "below_tau_high": Column(NUMBER, "upper end of the 95 % interval of below_tau"),
    "mass_min": Column(NUMBER, "P times the weight of node_min: about 1 for an eigenvalue"),
    "mass_max": Column(NUMBER, "P times the weight of node_max: about 1 for an eigenvalue"),
    "mass_min_probability": Column(NUMBER, "chance of a mass_min as small for an eigenvalue"),
    "mass_max_probability": Column(NUMBER, "chance of a mass_max as small for an eigenvalue"),
    "lambda_min_at_most": Column(CURVATURE, "upper bound on lambda_min, from a float64 value"),
    "lambda_min_at_least": Column(CURVATURE, "lower bound on lambda_min, with 95 % probability"),
    "lambda_max_at_least": Column(CURVATURE, "lower bound on lambda_max, from a float64 value"),
    "lambda_max_at_most": Column(CURVATURE, "upper bound on lambda_max, with 95 % probability"),
    "proven": Column("", "whether lambda_min and lambda_max are from a float64 pass"),
    "products": Column("", "how Hessian-vector products were made"),
    "image_products": Column(NUMBER, "products times images that all this took"),
    "active_images": Column(IMAGES, "images that Lanczos ran on; n where it ran on all"),
    "start": Column("", "cold, or warm: from the eigenvectors of the checkpoint before"),
    "overlap_min": Column(NUMBER, "|cosine| of the vector of lambda_min and the one before"),
    "overlap_max": Column(NUMBER, "|cosine| of the vector of lambda_max and the one before"),
    "factor": Column(NUMBER, "what the loss is multiplied by; 1 for a mean over the images"),
    "verdict": Column("", "what the curvature is, in two words"),
    "lowered": Column(NUMBER, "part of the loss that a step within radius removes"),
    "bending_share": Column(NUMBER, "share of lowered that negative curvature brings"),
    "secant_over_pointwise": Column(
        NUMBER, "curvature along the vector between -radius and radius, by that at the point"
    ),
    "kinked": Column("", "whether the negative curvature is gone a little beyond the point"),
    "stationary": Column("", "what stationary point was found near by"),
    "stationary_distance": Column(PARAMETER, "distance to that stationary point"),
    "stationary_relative_distance": Column(
        NUMBER, "that distance in lengths of a filter of the network"
    ),
}
# Of the checkpoint, before the columns of each loss where a table is of several checkpoints.
CHECKPOINT_COLUMNS = {
    "checkpoint": Column("", "name of the checkpoint"),
    "recipe": Column("", "how it was trained"),
    "seed": Column("", "seed of its training"),
    "epoch": Column("epochs", "epochs of training done"),
    "split": Column("", "whose images: train or test"),
}
