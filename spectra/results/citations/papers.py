"""The publications that results rest on; docstrings name the same ones under "Source"."""

from spectra.results.citations.reference import Reference, article, book, paper

_NEURIPS = "Advances in Neural Information Processing Systems"
_ICML, _ICLR = (
    f"International Conference on {what}"
    for what in ("Machine Learning", "Learning Representations")
)
_CVPR = "IEEE/CVF Conference on Computer Vision and Pattern Recognition"
_ICCV = "IEEE/CVF International Conference on Computer Vision"
_SIMAX = "SIAM Journal on Matrix Analysis and Applications"

_ALL = (
    paper(
        "rangwani2022escaping",
        "Rangwani, Harsh and Aithal, Sumukh K and Mishra, Mayank and Radhakrishnan, Venkatesh Babu",
        "Escaping Saddle Points for Effective Generalization on Class-Imbalanced Data",
        _NEURIPS, 2022,
    ),
    # How a network was trained
    paper(
        "foret2021sharpness",
        "Foret, Pierre and Kleiner, Ariel and Mobahi, Hossein and Neyshabur, Behnam",
        "Sharpness-Aware Minimization for Efficiently Improving Generalization", _ICLR, 2021,
    ),
    paper(
        "kwon2021asam",
        "Kwon, Jungmin and Kim, Jeongseop and Park, Hyunseo and Choi, In Kwon",
        "{ASAM}: Adaptive Sharpness-Aware Minimization for Scale-Invariant Learning of Deep Neural "
        "Networks",
        _ICML, 2021,
    ),
    paper(
        "zhou2023imbsam",
        "Zhou, Yixuan and Qu, Yi and Xu, Xing and Shen, Hengtao",
        "{ImbSAM}: A Closer Look at Sharpness-Aware Minimization in Class-Imbalanced Recognition",
        _ICCV, 2023,
    ),
    paper(
        "zhou2023ccsam",
        "Zhou, Zhipeng and Li, Lanqing and Zhao, Peilin and Heng, Pheng-Ann and Gong, Wei",
        "Class-Conditional Sharpness-Aware Minimization for Deep Long-Tailed Recognition",
        _CVPR, 2023,
    ),
    paper(
        "li2025focalsam",
        "Li, Sicong and Xu, Qianqian and Yang, Zhiyong and Wang, Zitai and Zhang, Linchao and "
        "Cao, Xiaochun and Huang, Qingming",
        "{Focal-SAM}: Focal Sharpness-Aware Minimization for Long-Tailed Classification",
        _ICML, 2025,
    ),
    paper(
        "jin2017escape",
        "Jin, Chi and Ge, Rong and Netrapalli, Praneeth and Kakade, Sham M. and Jordan, Michael I.",
        "How to Escape Saddle Points Efficiently", _ICML, 2017,
    ),
    paper(
        "bisla2022lowpass",
        "Bisla, Devansh and Wang, Jing and Choromanska, Anna",
        "Low-Pass Filtering {SGD} for Recovering Flat Optima in the Deep Learning Optimization "
        "Landscape",
        "International Conference on Artificial Intelligence and Statistics", 2022,
    ),
    paper(
        "cao2019ldam",
        "Cao, Kaidi and Wei, Colin and Gaidon, Adrien and Arechiga, Nikos and Ma, Tengyu",
        "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", _NEURIPS, 2019,
    ),
    paper(
        "cui2019classbalanced",
        "Cui, Yin and Jia, Menglin and Lin, Tsung-Yi and Song, Yang and Belongie, Serge",
        "Class-Balanced Loss Based on Effective Number of Samples", _CVPR, 2019,
    ),
    paper(
        "kini2021vs",
        "Kini, Ganesh Ramachandra and Paraskevas, Orestis and Oymak, Samet and "
        "Thrampoulidis, Christos",
        "Label-Imbalanced and Group-Sensitive Classification under Overparameterization",
        _NEURIPS, 2021,
    ),
    paper(
        "menon2021logit",
        "Menon, Aditya Krishna and Jayasumana, Sadeep and Rawat, Ankit Singh and "
        "Jain, Himanshu and Veit, Andreas and Kumar, Sanjiv",
        "Long-Tail Learning via Logit Adjustment", _ICLR, 2021,
    ),
    paper(
        "lin2017focal",
        r"Lin, Tsung-Yi and Goyal, Priya and Girshick, Ross and He, Kaiming and Doll{\'a}r, Piotr",
        "Focal Loss for Dense Object Detection", _ICCV, 2017,
    ),
    paper(
        "he2016resnet",
        "He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian",
        "Deep Residual Learning for Image Recognition", _CVPR, 2016,
    ),
    # On which images
    Reference(
        "krizhevsky2009cifar",
        "techreport",
        {
            "author": "Krizhevsky, Alex",
            "title": "Learning Multiple Layers of Features from Tiny Images",
            "institution": "University of Toronto",
            "year": "2009",
        },
    ),
    Reference(
        "alpaydin1998digits",
        "misc",
        {
            "author": "Alpaydin, E. and Kaynak, C.",
            "title": "Optical Recognition of Handwritten Digits",
            "howpublished": "UCI Machine Learning Repository",
            "year": "1998",
            "doi": "10.24432/C50P49",
        },
    ),
    # How the spectrum was found
    article(
        "pearlmutter1994fast", "Pearlmutter, Barak A.",
        "Fast Exact Multiplication by the {Hessian}",
        "Neural Computation", 1994, volume="6", number="1", pages="147--160",
    ),
    article(
        "schraudolph2002fast", "Schraudolph, Nicol N.",
        "Fast Curvature Matrix-Vector Products for Second-Order Gradient Descent",
        "Neural Computation", 2002, volume="14", number="7", pages="1723--1738",
    ),
    book(
        "golub2013matrix", "Golub, Gene H. and Van Loan, Charles F.", "Matrix Computations",
        "Johns Hopkins University Press", 2013, edition="4th",
    ),
    article(
        "ubaru2017fast", "Ubaru, Shashanka and Chen, Jie and Saad, Yousef",
        "Fast Estimation of $tr(f(A))$ via Stochastic {Lanczos} Quadrature",
        _SIMAX, 2017, volume="38", number="4", pages="1075--1099",
    ),
    paper(
        "ghorbani2019investigation", "Ghorbani, Behrooz and Krishnan, Shankar and Xiao, Ying",
        "An Investigation into Neural Net Optimization via {Hessian} Eigenvalue Density",
        _ICML, 2019,
    ),
    article(
        "hutchinson1990stochastic", "Hutchinson, M. F.",
        "A Stochastic Estimator of the Trace of the Influence Matrix for {Laplacian} Smoothing "
        "Splines",
        "Communications in Statistics - Simulation and Computation", 1990,
        volume="19", number="2", pages="433--450",
    ),
    article(
        "chen2023krylov", "Chen, Tyler and Hallman, Eric",
        "{Krylov}-Aware Stochastic Trace Estimation",
        _SIMAX, 2023, volume="44", number="3", pages="1218--1244",
    ),
    paper(
        "yao2020pyhessian",
        "Yao, Zhewei and Gholami, Amir and Keutzer, Kurt and Mahoney, Michael W.",
        "{PyHessian}: Neural Networks Through the Lens of the {Hessian}",
        "IEEE International Conference on Big Data", 2020,
    ),
    article(
        "vandorsselaer2000bounds",
        "van Dorsselaer, Jos L. M. and Hochstenbach, Michiel E. and van der Vorst, Henk A.",
        "Computing Probabilistic Bounds for Extreme Eigenvalues of Symmetric Matrices with the "
        "{Lanczos} Method",
        _SIMAX, 2000, volume="22", number="3", pages="837--852",
    ),
    article(
        "sleijpen1996jacobi", "Sleijpen, Gerard L. G. and van der Vorst, Henk A.",
        "A {Jacobi}--{Davidson} Iteration Method for Linear Eigenvalue Problems",
        _SIMAX, 1996, volume="17", number="2", pages="401--425",
    ),
    book(
        "parlett1980symmetric", "Parlett, Beresford N.", "The Symmetric Eigenvalue Problem",
        "Prentice-Hall", 1980,
    ),
    # What was made of it
    book(
        "efron1993bootstrap", "Efron, Bradley and Tibshirani, Robert J.",
        "An Introduction to the Bootstrap", r"Chapman \& Hall", 1993,
    ),
    article(
        "marquardt1963algorithm", "Marquardt, Donald W.",
        "An Algorithm for Least-Squares Estimation of Nonlinear Parameters",
        "Journal of the Society for Industrial and Applied Mathematics", 1963,
        volume="11", number="2", pages="431--441",
    ),
    paper(
        "li2018visualizing",
        "Li, Hao and Xu, Zheng and Taylor, Gavin and Studer, Christoph and Goldstein, Tom",
        "Visualizing the Loss Landscape of Neural Nets", _NEURIPS, 2018,
    ),
)  # fmt: skip
PAPERS = {reference.key: reference for reference in _ALL}
