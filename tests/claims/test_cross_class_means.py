import numpy as np
import pytest
import torch
from oracles import dense_gauss_newton, images_and_labels, random_vector, refill
from torch import nn

from spectra import HessianOperator, InputError, cross_class_means
from spectra.findings.claims.outliers import outliers

DOUBLE = torch.float64


def operator(images, labels, **options):
    net = nn.Sequential(nn.Flatten(), nn.Linear(32, 4), nn.Tanh(), nn.Linear(4, 3))
    model = refill(net.double(), "cross-class")
    return model, HessianOperator(model, images.double(), labels, dtype=DOUBLE, **options)


def by_hand(model, images, labels):
    """Return √w g of each pair, (3, 3, P), from the gradient of each image and candidate."""
    p = model(images.double()).softmax(1).detach()
    found = []
    for c in range(3):
        row = []
        for other in range(3):
            total, weight = 0.0, 0.0
            for i in torch.nonzero(labels == c).flatten().tolist():
                loss = nn.functional.cross_entropy(
                    model(images[i : i + 1].double()), torch.tensor([other])
                )
                gradient = torch.autograd.grad(loss, list(model.parameters()))
                total = total + p[i, other] * torch.cat([g.reshape(-1) for g in gradient])
                weight = weight + p[i, other]
            row.append(total / weight * (weight / len(labels)).sqrt())
        found.append(torch.stack(row))
    return torch.stack(found)


def test_the_means_are_those_of_gradients_written_out():
    images, labels = images_and_labels(13)
    model, op = operator(images, labels, micro_chunk=3)
    found = cross_class_means(op)
    assert found.classes == (0, 1, 2)
    # Sums of a dozen float64 terms of size 1.
    torch.testing.assert_close(found.vectors, by_hand(model, images, labels), rtol=0, atol=1e-13)


def test_without_spread_within_classes_the_matrix_between_them_is_the_gauss_newton_matrix():
    few, labels = images_and_labels(3)
    images, labels = few.repeat(4, 1, 1, 1), labels.repeat(4)
    model, op = operator(images, labels)
    found = cross_class_means(op)
    matrix = np.linalg.eigvalsh(dense_gauss_newton(model, images, labels).numpy())[::-1]
    # Rank 3 · (3 - 1): rounding of a Gram matrix is relative to its largest eigenvalue.
    assert len(found.between()) == 6
    np.testing.assert_allclose(found.between(), matrix[:6], atol=1e-12 * matrix[0])
    vectors = torch.linalg.eigh(dense_gauss_newton(model, images, labels)).eigenvectors[:, -6:].T
    np.testing.assert_allclose(found.captured(vectors), 1, atol=1e-9)


def test_the_matrix_between_classes_is_never_above_the_gauss_newton_matrix():
    images, labels = images_and_labels(14)
    model, op = operator(images, labels)
    found = cross_class_means(op)
    between = found.vectors.flatten(0, 1)
    left = dense_gauss_newton(model, images, labels) - between.T @ between
    assert float(torch.linalg.eigvalsh(left)[0]) >= -1e-12
    classes = found.class_vectors
    left = between.T @ between - classes.T @ classes
    assert float(torch.linalg.eigvalsh(left)[0]) >= -1e-12


def test_a_projection_holds_no_more_than_all_and_all_of_its_own_span():
    images, labels = images_and_labels(14)
    _, op = operator(images, labels)
    found = cross_class_means(op)
    rows = found.class_vectors
    units = rows / rows.norm(dim=1, keepdim=True)
    np.testing.assert_allclose(found.captured_by_classes(units), 1, atol=1e-9)
    np.testing.assert_allclose(found.captured(units), 1, atol=1e-9)
    vector = random_vector(op.size, "any")
    vector = (vector / vector.norm())[None]
    assert 0 < found.captured_by_classes(vector)[0] < found.captured(vector)[0] < 1


def test_a_loss_that_is_no_cross_entropy_is_refused():
    images, labels = images_and_labels(6)
    loss = nn.CrossEntropyLoss(reduction="none", label_smoothing=0.1)
    _, op = operator(images, labels, loss=loss)
    with pytest.raises(InputError, match="take --loss ce"):
        cross_class_means(op)


def test_outliers_end_at_the_widest_gap_and_say_how_it_compares():
    found = outliers([100.0, 50, 40, 4, 3.5, 3])
    assert (found.count, found.ratio, found.next_ratio) == (3, 10.0, 2.0)
    assert found.ratio_after(1) == 2.0
    assert found.ratio_after(6) is None


@pytest.mark.parametrize("given", [[3.0, 2.0, -1.0], [1.0, 2.0, 3.0]], ids=["few", "rising"])
def test_a_gap_of_too_few_or_rising_eigenvalues_is_refused(given):
    with pytest.raises(InputError, match="eigenvalues"):
        outliers(given)
